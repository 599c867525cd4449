#!/bin/sh
# Makes the test PKI of this folder anew. The keys guard nothing: they are for tests on loopback.
set -eu
cd "$(dirname "$0")"
days=36500

authority() { # name, common name
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days $days \
    -keyout "$1.key" -out "$1.pem" -subj "/CN=$2" \
    -addext "basicConstraints=critical,CA:TRUE" -addext "keyUsage=critical,keyCertSign,cRLSign"
}

leaf() { # name, authority, subject, alternative names, extended key usage
  openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes \
    -keyout "$1.key" -out "$1.csr" -subj "$3"
  printf 'basicConstraints=CA:FALSE\nkeyUsage=digitalSignature\nextendedKeyUsage=%s\nsubjectAltName=%s\n' \
    "$5" "$4" > "$1.ext"
  openssl x509 -req -in "$1.csr" -CA "$2.pem" -CAkey "$2.key" -CAcreateserial -days $days \
    -out "$1.pem" -extfile "$1.ext"
  rm "$1.csr" "$1.ext"
}

authority authority "test authority"
authority stranger_authority "a stranger's authority"
leaf server authority "/CN=localhost" "DNS:localhost,IP:127.0.0.1" serverAuth
leaf agent authority "/O=Agents/CN=agent-1" "DNS:agent-1.local,URI:spiffe://house/agent-1" clientAuth
leaf stranger stranger_authority "/CN=agent-1" "DNS:agent-1.local" clientAuth
rm -f ./*.srl authority.key stranger_authority.key
