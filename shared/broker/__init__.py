"""The queue between the rooms: one protocol (base.py), RabbitMQ for real use, memory for one process."""
