"""Permissions."""


def first_folders(language: str) -> dict:
    return {}
