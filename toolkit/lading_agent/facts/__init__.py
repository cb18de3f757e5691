"""What a device is: facts gathered in one go by a shell script, and read by parsers that know nothing but text."""
