"""The files of the live page, as they are served: no build step, nothing from elsewhere."""
