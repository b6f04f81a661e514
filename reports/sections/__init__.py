"""One report section a file, found by its name; order, title and content are the section's own."""
