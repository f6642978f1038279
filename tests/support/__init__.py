"""What the tests stand on: real servers, real clients, a clock to turn by hand."""
