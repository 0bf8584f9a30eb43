"""What changed between two commits, told to a person: knobs, rows, figures with their noise, answers, prompts."""
