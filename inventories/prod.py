"""Production: what the service is, and which hosts it runs on. The file to edit, beside the app.

    pyinfra --dry --diff inventories/prod.py deploy.py    shows what would change
    pyinfra inventories/prod.py deploy.py                 changes it; again: nothing to do

What is commented out shows other values than the defaults, and why one would want them; editors
know all settings. Mistakes are reported together, before any host is contacted:

    wsdeploy check inventories/prod.py
"""

from wsdeploy import Acme, App, Settings, hosts

# from wsdeploy import CertFiles, Firewall, HAProxy, Nginx, Probe, SelfSigned  # for lines below

settings = Settings(
    domain="ws.example.com",  # EDIT: the name that clients connect to
    app=App(
        "files/app.py",  # your own file: it goes to the hosts as it is here, now
        # processes=8,  # per host; without it one for each of its cores, and at least two
        # requirements="files/requirements.txt",  # a lock file that is not beside the app
        # env={"API_URL": "https://api.example.com"},  # what the app reads from its environment
        # probe=Probe(path="/echo", send="hello", expect="hello"),  # proves more than a handshake
        # compression="off",  # 18 KiB in the app for each client, not 48, for larger messages
        # writable=["/srv/uploads"],  # folders to write to, beside the app's own /var/lib/ws
        # max_size=16_384,  # for apps whose messages are small: refuse what is not
        # max_age=86_400,  # close each connection within a day, so that balance repairs itself
        # drain=120,  # spread reconnecting over more time, for an app that many clients use
    ),
    # proxy=HAProxy(),  # in front of several app hosts: it knows which of them are well
    # proxy=Nginx(access_log=False),  # where a line per connection is too much, or too private
    tls=Acme(email="ops@example.com"),  # EDIT: Let's Encrypt; DNS must lead here, to port 80
    # tls=CertFiles("tls/fullchain.pem", "tls/privkey.pem"),  # instead: one from elsewhere
    # tls=SelfSigned(),  # instead, for trials: clients need the certificate, and browsers warn
    # max_connections=50_000,  # clients per host; files, backlogs and workers follow from it
    # firewall=Firewall(allow=["tcp/9100 from 10.0.0.0/8"]),  # what else others may reach
    # security_updates=True,  # let hosts install Debian's by themselves
    # name="chat",  # instead of "ws": of the user, the folders and the processes on the hosts
)

app, proxy = hosts(
    settings,
    app=["app1.example.com"],  # EDIT: Debian 12 or 13, reached by SSH
    # proxy=["lb1.example.com"],  # other hosts than the app's; all then need a private_address
    ssh_user="root",  # or a user who has sudo without a password
    # ssh_key="~/.ssh/id_deploy",  # another key than the one that ssh takes by itself
    # ssh_port=2222,  # where sshd does not listen on 22
)
