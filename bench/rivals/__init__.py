"""The servers Tannoy is compared with, each as short and as ordinary as its users would write it."""
