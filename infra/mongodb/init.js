// Makes the accounts of roles.json, or changes them to what it says. The official image runs this at the first start of
// an empty volume; on a database that lives: mongosh -u root admin infra/mongodb/init.js, with the same variables.
const fs = require("fs");

const here = process.env.NUNMAL_MONGODB_DIR || "/etc/nunmal-mongodb";
const database = process.env.NUNMAL_STORE_DATABASE || "nunmal";
const roles = JSON.parse(fs.readFileSync(`${here}/roles.json`, "utf8"));

function password(room) {
  const name = `MONGO_${room.toUpperCase()}_PASSWORD`;
  const file = process.env[`${name}_FILE`];
  const value = file ? fs.readFileSync(file, "utf8").trim() : process.env[name] || "";
  if (!/^[A-Za-z0-9_-]{16,}$/.test(value)) {
    throw new Error(`${name} must be 16 or more letters, digits, - and _ : openssl rand -hex 16`);
  }
  return value;
}

const admin = db.getSiblingDB("admin");
for (const [room, collections] of Object.entries(roles)) {
  const name = `nunmal-${room}`;
  const privileges = Object.entries(collections)
    .filter(([, actions]) => actions.length > 0)
    .map(([collection, actions]) => ({ resource: { db: database, collection }, actions }));
  if (admin.getRole(name)) admin.updateRole(name, { privileges, roles: [] });
  else admin.createRole({ role: name, privileges, roles: [] });

  const account = { pwd: password(room), roles: [{ role: name, db: "admin" }] };
  if (admin.getUser(name)) admin.updateUser(name, account);
  else admin.createUser({ user: name, ...account });
}
