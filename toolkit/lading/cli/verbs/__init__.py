"""The verbs, one file each: arguments in, a library call, an :class:`~lading.cli.answer.Answer` out."""
