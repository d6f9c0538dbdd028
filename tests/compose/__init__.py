"""The laptop's docker-compose.yaml, as Docker Compose itself reads it."""
