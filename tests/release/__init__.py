"""What is published: the wheel and the sdist, built and used as those who install them do."""
