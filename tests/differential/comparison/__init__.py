"""How scripts are told to PostgreSQL and to the proxy, and how their answers are compared.

`normalise` is the whole list of what is not compared, `telling` tells one script, `neighbours`
are the other clients that move between its steps, `cell` is one server and one pool size,
`generated` makes scripts by dice, `findings` is what is shown and written down.
"""
