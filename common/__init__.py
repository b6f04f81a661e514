"""What every room may use: discovery by folder, and errors a user can act on."""
