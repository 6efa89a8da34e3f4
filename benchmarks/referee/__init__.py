"""The referee: every backend of fastfm_core and every installed peer on the same data, in turns. See ``__main__``."""
