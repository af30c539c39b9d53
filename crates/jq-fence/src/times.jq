def todateiso8601: time__ | todate__;
def strftime($format): time__ | strftime__($format);
def gmtime: time__ | gmtime__;
def mktime: time__ | mktime__;
