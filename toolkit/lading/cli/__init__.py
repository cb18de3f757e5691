"""The command line: a thin layer over the library. One file a verb under ``verbs/``; everything shared is here."""
