"""What each command does, once its options are parsed: one module a command.

May import every room. In: options. Out: an exit code, a folder, lines for people, JSON for programs.
"""
