"""Who gets which public address, for how long, and whose first packet goes where.

Pure: time comes in from outside, and nothing here does I/O.
"""
