"""A small MMO: zones to walk in, characters that are kept, and a chat that is looked after."""
