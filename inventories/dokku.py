"""The service on Dokku: its files are written into this project, for you to commit.

    pyinfra --dry --diff inventories/dokku.py deploy.py    shows what would change
    pyinfra inventories/dokku.py deploy.py                 writes it, and says what to type next

docs/guides/platforms.md has what Dokku keeps of the settings.
"""

from wsdeploy import App, Dokku, SelfSigned, Settings, platform

settings = Settings(
    domain="ws.example.com",  # EDIT: the name that clients connect to
    app=App(
        "files/app.py",
        # secrets={"DATABASE_URL": FromEnv("DATABASE_URL")},  # by name; a command sets the value
    ),
    tls=SelfSigned(),  # certificates are Dokku's
    name="chat",
    max_connections=5_000,  # clients per container
)

project = platform(
    settings,
    Dokku("dokku.your-company.com", instances=2),  # EDIT: where Dokku is
)
