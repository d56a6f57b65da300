"""An EC2 to try things on: a moto server behind a proxy that behaves as EC2 does where it hurts, and instances that really boot."""
