"""What becomes of perf's table of where processors were seen."""

from bench.traffic.profile import shares

TABLE = """\
# To display the perf.data header info, please use --header/--header-only options.
#
# Overhead;     Samples;    Pid:Command        ;Shared Object
 11.95% ; 2711       ;  12115:nginx          ;[kernel.kallsyms]
 11.74% ; 2000       ;  12114:nginx          ;[kernel.kallsyms]
 9.20%  ; 2088       ;  12331:python         ;libssl.so.3
 8.97%  ; 12         ;  12331:python         ;[kernel.kallsyms]
 5.52%  ; 1253       ;  12039:python3        ;python3.11
 1.65%  ; 370        ;  12115:nginx          ;libcrypto.so.3
 1.60%  ; 30         ;  12115:nginx          ;libssl.so.3
 1.13%  ; 56         ;  12115:nginx          ;nginx
 1.13%  ; 4          ;  12115:nginx          ;libc.so.6
 1.12%  ; 128        ;  12039:python3        ;loop.cpython-311-x86_64-linux-gnu.so
 0.52%  ; 9          ;  12039:python3        ;libc.so.6
 0.44%  ; 33         ;      0:swapper        ;[kernel.kallsyms]
 0.02%  ; 5          ;    400:nginx          ;[kernel.kallsyms]

"""
OWNERS = {12115: "proxy", 12114: "proxy", 12331: "clients", 12039: "app"}


def test_each_program_is_taken_apart_but_for_the_clients_and_strangers_are_left_out() -> None:
    assert shares(TABLE, OWNERS) == {
        "proxy, kernel": 4711,
        "proxy, OpenSSL": 400,
        "proxy, itself": 60,
        "app, Python": 1253,
        "app, uvloop": 128,
        "app, C libraries": 9,
        "clients": 2100,
    }
