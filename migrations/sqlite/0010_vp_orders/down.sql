DROP TABLE vp_orders;
