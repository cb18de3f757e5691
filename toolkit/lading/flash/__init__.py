"""Images for a microcontroller's flash: what a push would leave there, written beforehand."""
