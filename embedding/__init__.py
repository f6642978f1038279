"""A node inside the application of somebody else: `tannoy.Tannoy`."""
