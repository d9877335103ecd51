"""The text of documents, read in a process apart."""
