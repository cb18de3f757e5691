"""Boards without hardware: machines of QEMU, and programs of this machine, that stand for boards.

A board is a target with an ``[emulation]`` table. Its image is built from a recipe and kept in the user's cache; what a
board holds beyond it is in the user's state folder, one folder a board.
"""
