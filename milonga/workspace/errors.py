"""What a command says when it refuses."""


class UserError(Exception):
    """
    Something a person can put right. The message is the whole help: what is wrong, then what to do. It holds no secret.
    """


class NotThere(UserError):
    """What was named does not exist, or not any more. Over HTTP: 404."""


class Clash(UserError):
    """It would be right if something else were not so: a name is taken, a thing is in use. Over HTTP: 409."""
