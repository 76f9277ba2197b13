/** Certificates of the tests' own making. */
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Certificate {
  readonly cert: string;
  readonly key: string;
}

/** Signed by itself, for `alternatives` such as "IP:127.0.0.1". */
export function selfSigned(alternatives: string): Certificate {
  const directory = mkdtempSync(join(tmpdir(), "weir-certificate-"));
  const [cert, key] = [join(directory, "cert.pem"), join(directory, "key.pem")];
  try {
    const made = spawnSync(
      "openssl",
      ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"].concat(
        ["-subj", "/CN=upstream.test", "-addext", `subjectAltName=${alternatives}`],
        ["-keyout", key, "-out", cert],
      ),
      { encoding: "utf8" },
    );
    if (made.status !== 0) throw new Error(made.stderr);
    return { cert: readFileSync(cert, "utf8"), key: readFileSync(key, "utf8") };
  } finally {
    rmSync(directory, { recursive: true });
  }
}
