"""What is known of shapes and integers before a run: polynomials over the free dimensions, with bounds."""
