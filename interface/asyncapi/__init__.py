"""`/asyncapi.json`: what the streams say and are told, made from the code that does it."""
