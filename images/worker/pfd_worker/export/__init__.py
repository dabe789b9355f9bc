"""What a user takes away: the student with inputs that run it, and a card that says what it is."""
