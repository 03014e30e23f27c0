"""Somebody in a workspace who may come in."""

from milonga.workspace.people import User
from milonga.workspace.roles import Role
from milonga.workspace.store import Workspace

WORD = "$argon2id$of-one-password"  # what is compared is in test_passwords.py
OTHER = "$argon2id$of-another"
ADMINISTRATOR, EDITOR, VIEWER = Role.administrator, Role.editor, Role.viewer


def let_in(workspace: Workspace, name: str = "ada", role: Role = ADMINISTRATOR) -> User:
    """Somebody with a password."""
    _, secret = workspace.users.add(name, role)
    return workspace.users.use_link(secret, WORD)


def signed_in(workspace: Workspace, user: User, password: str = WORD, agent: str = "a browser") -> str:
    return workspace.sessions.begin(user, password, "192.0.2.1", agent)
