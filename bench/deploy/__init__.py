"""What a run costs: first runs, and runs that find nothing to do, beside others that do the job.

The job: the echo server of files/app.py with its dependencies as four processes under Supervisor,
each on a unix socket; nginx with TLS in front of them; kernel settings; a firewall; and a check
that the app answers. Hosts are throwaway ones with Debian 12, reached by SSH as root. All
contenders

- install the same packages from the same mirror, with empty caches and without package lists on
  the host, after a run that is not measured: caches on the way are as warm for one as for another;
- get the same release as an archive that was built before, so nobody waits for a package index;
- make a self-signed certificate on the host, and compile the app's bytecode there.

`wsdeploy` is `pyinfra INVENTORY deploy.py -y`. It does more than the others: a watchdog, the
sandboxes of units, a firewall whose rules are tried before they stay, a gate that each process has
to pass for two seconds, a record of what was deployed, and a WebSocket through the proxy at the
end. `ansible` is the playbook here, with pipelining, 20 forks, no facts, and one connection for all
of a run. Each run of any contender makes its connections anew.
`script` is first_run.sh, sent with its files over one SSH connection. It is no way to look after
hosts (it does all of it each time), but what a first run costs without any tool.
`pyinfra exec true` starts pyinfra, connects and runs one command: what no deployment by pyinfra can
be faster than.
"""
