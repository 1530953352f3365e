"""The service on Koyeb: its files are written into this project, for you to commit.

    pyinfra --dry --diff inventories/koyeb.py deploy.py    shows what would change
    pyinfra inventories/koyeb.py deploy.py                 writes it, and says what to type next

docs/guides/platforms.md has what Koyeb keeps of the settings.
"""

from wsdeploy import App, Koyeb, SelfSigned, Settings, platform

settings = Settings(
    domain="ws.example.com",  # EDIT: the name that clients connect to
    app=App(
        "files/app.py",
        drain=12,  # how long Koyeb waits is not known: 30 s are assumed
        # secrets={"DATABASE_URL": FromEnv("DATABASE_URL")},  # by name; a command sets the value
    ),
    tls=SelfSigned(),  # certificates are Koyeb's
    name="chat",
    max_connections=5_000,  # clients per instance
)

project = platform(
    settings,
    Koyeb("github.com/your-company/chat", instances=2),  # EDIT: where the project is
)
