"""What a chat is: its words, rules and promises. Standard library only."""
