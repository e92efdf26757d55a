DROP TABLE certificate_permissions;
DROP TABLE caa_checks;
