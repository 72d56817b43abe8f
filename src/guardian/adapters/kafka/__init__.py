"""Kafka: workers in a group, a producer, administration. Nothing else speaks to a broker, and nothing else imports Faust."""

import logging

for _library in ("aiokafka", "faust", "mode"):  # What matters is raised or said; logs are for those who configure logging.
    logging.getLogger(_library).addHandler(logging.NullHandler())
