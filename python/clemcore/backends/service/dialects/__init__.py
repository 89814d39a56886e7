"""The wire formats, one file each. They know no HTTP and no addresses."""
