"""Who gets which public address, for how long, and whose first packet goes where. Pure: time and chance come from outside."""
