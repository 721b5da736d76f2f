"""Homework: its sources, the notebooks made from them, and how submissions are run, scored and reported."""
