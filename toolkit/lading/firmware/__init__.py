"""Microcontrollers: releases as files on a firmware's own file system, brought and looked after over SMP.

The layout is in ``docs/firmware.md``, with a reader in C beside it.
"""
