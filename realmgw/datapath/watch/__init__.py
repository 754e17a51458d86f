"""What was placed outside of the process: whose it is, whether it is still so, and how it is put back."""
