"""Foundation: digests, path-name rules and limits; imports nothing above the error tree."""
