"""What leaves the loop: a folder with the model, inputs that run it, and a card that says what it is good for."""
