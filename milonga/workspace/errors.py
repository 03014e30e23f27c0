"""What a command says when it refuses."""


class UserError(Exception):
    """
    Something a person can put right. The message is the whole help: what is wrong, then what to do. It holds no secret.
    """
