"""The scripts as data: what a client sends, by theme. None knows what is to be answered."""
