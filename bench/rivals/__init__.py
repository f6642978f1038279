"""The servers that Tannoy is compared with, each written in the usual way of its library."""
