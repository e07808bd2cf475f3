"""The book's tutorial, read and followed by programs: its pages, terminals, windows, and hands."""
