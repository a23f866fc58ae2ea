"""
The command line ``unionlayers``: what the library answers, typed and read by people.

It stands above everything else and nothing imports it; `entry` is what the script calls.
"""
