"""What a platform is told so that it runs the service: files of the project, and commands. Pure.

The same `Settings` as for hosts. What a platform keeps of each, and by what, is in `verdicts`.
"""
